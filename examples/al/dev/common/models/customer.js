'use strict';

module.exports = function(Customer) {
  Customer.validatesFormatOf('email', {with: /@/, allowNull: true});
};
