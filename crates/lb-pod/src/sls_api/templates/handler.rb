def hello(event, context)
  "Hello"
end
