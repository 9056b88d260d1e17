-- Depths by queue and state, with the moment of the oldest of the ready ones.
SELECT queue, state, count(*), CASE WHEN state = 1 THEN greatest(0, {now} - min(due)) END FROM {schema}.job GROUP BY queue, state
UNION ALL
SELECT queue, 4, count(*), NULL FROM {schema}.ended WHERE state = 4 AND keep > {now} GROUP BY queue
