"""The reading room: a radiologist looks, corrects, signs. Start at room.py, the REST service; static/ is the page."""
