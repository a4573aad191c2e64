<!DOCTYPE html>
<html><head><title>News of {$year}</title></head>
<body><h1>News of {$year}</h1>
<ul>
{foreach $items as $item}
<li>{$item|escape}</li>
{/foreach}
</ul>
</body></html>
