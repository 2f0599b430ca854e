"""What all tests share: the equipment's fixtures."""

pytest_plugins = ["tests.equipment.fixtures"]
