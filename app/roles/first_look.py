"""What a judgment without votes still needs, once its response is to be rewritten."""

from app.domain.judgment import Judgment
from app.domain.options import FirstLook


def lacks_critique(judgment: Judgment, first_look: FirstLook) -> bool:
    """Whether a critique has to be written before the rewrite.

    Votes bring critiques, and what a program found is one, unless `first_look.critiques` asks for
    more.
    """
    if judgment.votes or judgment.late_critique is not None:
        return False
    return not judgment.failures or first_look.critiques
