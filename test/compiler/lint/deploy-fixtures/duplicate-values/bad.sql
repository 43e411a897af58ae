create unique index concurrently customers_email_lower on customers (lower(email));
