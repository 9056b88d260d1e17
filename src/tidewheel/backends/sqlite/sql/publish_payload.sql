-- Store one long body.
INSERT INTO payload (id, body) VALUES (?, ?) ON CONFLICT DO NOTHING
