"""The wire between a pressure mat and its host: protocol, serial link, recordings, virtual mat."""
