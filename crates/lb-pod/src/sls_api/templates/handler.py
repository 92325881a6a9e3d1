def hello(event, context):
    return "Hello"
