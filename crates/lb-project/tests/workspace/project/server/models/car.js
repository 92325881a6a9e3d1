'use strict';

module.exports = function(Car) {

};
