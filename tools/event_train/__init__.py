"""What tools/train_events.py is made of."""
