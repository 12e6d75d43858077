"""The ledger: tables, migrations, and named queries per aggregate. The database is the truth."""
