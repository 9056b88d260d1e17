-- Settings, and what keeps vacuum from its work: seconds, where it lasts longer than 600.
SELECT current_setting('server_version_num'), current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'),
  current_setting('synchronous_standby_names') <> '', pg_is_in_recovery(), current_setting('default_transaction_isolation'),
  (SELECT extract(epoch FROM max(now() - xact_start))::float8 FROM pg_stat_activity
    WHERE backend_xmin IS NOT NULL AND backend_type = 'client backend' AND xact_start < now() - interval '600 s'),
  (SELECT 0::float8 FROM pg_replication_slots
    WHERE (xmin IS NOT NULL AND age(xmin) > 100000) OR (catalog_xmin IS NOT NULL AND age(catalog_xmin) > 10000000) LIMIT 1),
  (SELECT extract(epoch FROM max(now() - prepared))::float8 FROM pg_prepared_xacts WHERE prepared < now() - interval '600 s'),
  (SELECT age(datfrozenxid)::int8 FROM pg_database WHERE datname = current_database()),
  coalesce((SELECT n_dead_tup FROM pg_stat_all_tables WHERE relid = '{schema}.job'::regclass), 0)
