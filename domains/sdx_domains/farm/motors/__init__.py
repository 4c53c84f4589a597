"""Window motors minute by minute: the task of TANGO2's farm data (w1..w8, 0-100 %). Start at minutes.py, then bench.py."""
