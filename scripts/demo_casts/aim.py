"""AIM: nobody is asked before he is added, so a stranger just writes."""

from scripts.demo_casts import Cast

CAST = Cast(
    network="aim",
    protocol="OSCAR",
    front="oscar",
    romeo_is="away",  # of all the ways not to be there, AIM has this one
    acts=("away", "back", "stranger", "kick", "cut"),
)
