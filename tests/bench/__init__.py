"""`./run bench`: figures of Bellhop beside those of stock RQ and rq-scheduler, on the same work and in one run."""
