"""`python -m unseen` is the same program as the `unseen` console script."""

from unseen.cli.main import main

if __name__ == "__main__":
    main()
