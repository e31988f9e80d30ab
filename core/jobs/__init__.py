"""The work on a live market: what is done for every bar, by whichever worker takes it.

Each job finds in the database what there is to do, and does it in transactions that add rows once;
`core.jobs.durable` only sees to it that somebody does.
"""
