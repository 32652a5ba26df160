// Tell the server in which time zone this browser is, so that pages show times as this person reads them.
