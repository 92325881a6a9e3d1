'use strict';

module.exports = {
  hello(event, context) {
    return {message: 'Hello', data: event.data};
  },
};
