'use strict';

// The memory connector starts empty: a few cars to look at.
module.exports = function(server, done) {
  server.models.Car.create([
    {make: 'Citroen', model: '2CV', year: 1971, price: 12500},
    {make: 'Saab', model: '900', year: 1988, price: 7900},
  ], done);
};
