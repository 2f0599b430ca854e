"""Test equipment: a stand-in Messages API and a stand-in `claude`; README.md tells how to use them."""
