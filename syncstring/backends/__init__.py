"""The stores: rows in memory, in an SQLite file. Found through `syncstring.store.open_store`."""
