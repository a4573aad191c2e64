News of {$year}
{foreach $items as $item}
* {$item}
{/foreach}
