"""Transcript formats: each is one `TranscriptFormat` in one module, and `registered` knows them all."""
