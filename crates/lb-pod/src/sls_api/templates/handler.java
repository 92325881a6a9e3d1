package io.kubeless;

public class handler {
    public String hello(Event event, Context context) {
        return "Hello";
    }
}
