"""`spar` as the child of an evaluation: it ends when its parent does, however that ends."""

from app.cli import main
from app.evaluation.own_server import end_with_parent

# The engine's processes import this file again, and must not start a server.
if __name__ == "__main__":
    end_with_parent()
    main()
