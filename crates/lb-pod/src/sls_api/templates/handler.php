<?php

function hello($event, $context) {
    return "Hello";
}
