using Kubeless.Functions;

public class handler
{
    public string hello(Event k8Event, Context k8Context)
    {
        return "Hello";
    }
}
