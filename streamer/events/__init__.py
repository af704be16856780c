"""What else can be heard: keywords, sounds, levels, tones. Plain libraries."""
