"""Incremental text-to-speech: clauses from a stream of text, voices that speak them."""
