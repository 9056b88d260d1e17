-- Give one new job the past that its carrier knows. published, deliveries, attempts, strikes, losses, id
UPDATE job SET published = ?, deliveries = ?, attempts = ?, strikes = ?, losses = ? WHERE id = ?
