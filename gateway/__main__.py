"""`python -m gateway` is `balcony`."""

from gateway.cli import main

if __name__ == "__main__":
    main()
