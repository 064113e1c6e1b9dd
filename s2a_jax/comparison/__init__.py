"""Several networks under one budget on the same cases: plan, runs, statistics, table, pictures."""
