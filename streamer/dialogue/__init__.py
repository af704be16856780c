"""What an assistant answers: rules with patterns and slots, actions."""
