"""How a run is shown.

Pure: `words`, `neutralise`, `view`, `pausing`, `lines`, `frame`. Acting: `sink`, `screens`, `live`, `writer`.
"""
