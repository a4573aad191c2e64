<?php
// SPDX-License-Identifier: GPL-2.0-only
// The news, by compiled templates (templates_c) with a page cache (cache).
require '/usr/share/php/smarty4/Smarty.class.php';
$smarty = new Smarty();
$smarty->setTemplateDir('/var/www/vol2/templates');
$smarty->setCompileDir('/var/www/vol2/templates_c');
$smarty->setCacheDir('/var/www/vol2/cache');
$smarty->setCaching(Smarty::CACHING_LIFETIME_CURRENT);
$smarty->setCacheLifetime(-1);
$year = preg_match('/^\d{4}$/', $_GET['year'] ?? '') ? $_GET['year'] : '2008';
$template = isset($_GET['print']) ? 'print.tpl' : 'news.tpl';
if (!$smarty->isCached($template, $year)) {
	$smarty->assign('year', $year);
	$smarty->assign('items', ['2008' => ['The report is out', 'Enforcing since May'], '2007' => ['The group has begun']][$year] ?? []);
}
$smarty->display($template, $year);
