'use strict';

module.exports = {
  greet(event) {
    const name = (event.data && event.data.name) || 'stranger';
    return {message: `Welcome to Al's showroom, ${name}!`};
  },
};
