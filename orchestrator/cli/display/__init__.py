"""How a run is shown.

Pure: `words`, `neutralise`, `view`, `lines`, `frame`. Acting: `sink`, `screens`, `live`, `writer`.
"""
