"""ICQ: everybody is a number."""

from scripts.demo_casts import Cast

CAST = Cast(
    network="icq",
    protocol="OSCAR",
    front="oscar",
    sample="sample_icq.toml",
    accounts={
        "romeo": "15951601",
        "juliet": "15951603",
        "mercutio": "15951605",
        "tybalt": "15951607",
        "echo": "15951609",
    },
)
