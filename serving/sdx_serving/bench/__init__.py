"""What models and their servers cost here: measured, in processes of their own."""
