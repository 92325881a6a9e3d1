'use strict';

module.exports = function(Car) {
  Car.validatesNumericalityOf('year', {int: true, allowNull: true});
};
