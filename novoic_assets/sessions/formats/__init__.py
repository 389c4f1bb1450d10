"""Transcript formats: one `TranscriptFormat` in one module each; `registered` lists them all."""
