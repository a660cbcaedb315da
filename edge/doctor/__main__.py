"""python -m edge.doctor"""

from edge.doctor import cli

if __name__ == "__main__":
    cli()
