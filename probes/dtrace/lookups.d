#!/usr/sbin/dtrace -s
/*
 * lookups: what is looked up, and how long does it take by plugin?
 *
 * USAGE
 *   overlay-trace --tracer dtrace lookups [interval [count]] [--vni N]
 *   dtrace -Z -s lookups.d OVERLAYD_PID VARPD_PID [interval [count [vni]]]
 *
 * DESCRIPTION
 *   Asks in D what lookups.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   Four firings for each lookup, about a microsecond each. A frame whose
 *   destination is known costs nothing.
 *
 * CAVEATS
 *   Give 0 for a daemon that does not run. Both are watched at once, so the
 *   providers carry process ids; on illumos overlay*::: would do.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256
#pragma D option dynvarsize=16m

dtrace:::BEGIN
{
	printf("Tracing lookups... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$1:::lookup-start
/($5 == 0 || arg2 == $5)/
{
	@asked[arg2] = count();
}

varpd$2:::lookup
/($5 == 0 || arg1 == $5)/
{
	begun[arg0] = timestamp;
}

varpd$2:::answer
/begun[arg0]/
{
	spent[arg0] = timestamp - begun[arg0];
	plugin[arg0] = copyinstr(arg3);
	@us_plugin[copyinstr(arg3)] = quantize((timestamp - begun[arg0]) / 1000);
	@answers_of_plugin[copyinstr(arg3), copyinstr(arg2)] = count();
	begun[arg0] = 0;
}

varpd$2:::answer-missing
{
	@missing[copyinstr(arg2)] = count();
}

varpd$2:::answer-late
{
	@late_from_plugin[copyinstr(arg2)] = count();
}

overlay$1:::lookup-done
/($5 == 0 || arg1 == $5)/
{
	@answers[arg1, copyinstr(arg3)] = count();
	@us_lookup[arg1] = quantize(arg2 / 1000);
}

overlay$1:::lookup-done
/spent[arg0]/
{
	@us_lookup_by_plugin[plugin[arg0]] = quantize(arg2 / 1000);
	@us_outside_plugin["all"] = quantize(arg2 > spent[arg0] ? (arg2 - spent[arg0]) / 1000 : 0);
	spent[arg0] = 0;
	plugin[arg0] = 0;
}

overlay$1:::lookup-requeue
/($5 == 0 || arg1 == $5)/
{
	@asked_again[arg1, copyinstr(arg2)] = count();
}

overlay$1:::lookup-timeout
/($5 == 0 || arg1 == $5)/
{
	@timed_out[arg1, copyinstr(arg3)] = count();
}

overlay$1:::lookup-timeout
/begun[arg0] || spent[arg0]/
{
	begun[arg0] = 0;
	spent[arg0] = 0;
	plugin[arg0] = 0;
}

overlay$1:::lookup-late
{
	@late[copyinstr(arg1)] = count();
}

overlay$1:::lookup-late
/spent[arg0]/
{
	spent[arg0] = 0;
	plugin[arg0] = 0;
}

profile:::tick-1s
/$3 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$3 > 0 && due == $3/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("asked %u: %@u\n", @asked);
	printa("answers %u %s: %@u\n", @answers);
	printa("answers_of_plugin %s %s: %@u\n", @answers_of_plugin);
	printa("asked_again %u %s: %@u\n", @asked_again);
	printa("timed_out %u %s: %@u\n", @timed_out);
	printa("late %s: %@u\n", @late);
	printa("late_from_plugin %s: %@u\n", @late_from_plugin);
	printa("missing %s: %@u\n", @missing);
	printa("us_lookup %u%@d\n", @us_lookup);
	printa("us_lookup_by_plugin %s%@d\n", @us_lookup_by_plugin);
	printa("us_plugin %s%@d\n", @us_plugin);
	printa("us_outside_plugin %s%@d\n", @us_outside_plugin);
}

profile:::tick-1s
/$3 > 0 && $4 > 0 && seconds >= $3 * $4/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("asked %u: %@u\n", @asked);
	printa("answers %u %s: %@u\n", @answers);
	printa("answers_of_plugin %s %s: %@u\n", @answers_of_plugin);
	printa("asked_again %u %s: %@u\n", @asked_again);
	printa("timed_out %u %s: %@u\n", @timed_out);
	printa("late %s: %@u\n", @late);
	printa("late_from_plugin %s: %@u\n", @late_from_plugin);
	printa("missing %s: %@u\n", @missing);
	printa("us_lookup %u%@d\n", @us_lookup);
	printa("us_lookup_by_plugin %s%@d\n", @us_lookup_by_plugin);
	printa("us_plugin %s%@d\n", @us_plugin);
	printa("us_outside_plugin %s%@d\n", @us_outside_plugin);
}
