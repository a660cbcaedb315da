"""Configuration of edge-run: settings, the TOML file with its line numbers, environment and command line."""
