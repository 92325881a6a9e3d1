// Serves the package's API over the project in WORKSPACE_DIR, on PORT of the loopback address.
'use strict';

const app = require('loopback-workspace');

app.listen(Number(process.env.PORT), '127.0.0.1');
