#!/usr/sbin/dtrace -s
/*
 * workers: is the work spread over the workers, and what wakes them?
 *
 * USAGE
 *   overlay-trace --tracer dtrace workers [interval [count]]
 *   dtrace -Z -p PID -s workers.d [interval [count]]
 *
 * DESCRIPTION
 *   Asks in D what workers.bt asks; its header explains the answer.
 *
 * OVERHEAD
 *   One firing for each batch and each sleep, about a microsecond each.
 *
 * CAVEATS
 *   Watch overlayd: the provider's name carries the process id of -p.
 */

#pragma D option quiet
#pragma D option defaultargs
#pragma D option strsize=256

dtrace:::BEGIN
{
	printf("Tracing workers... Ctrl-C ends.\n");
	seconds = 0;
	due = 0;
}

overlay$target:::tx-batch
{
	@frames[arg0] = sum(arg2);
}

overlay$target:::rx-batch
{
	@datagrams[arg0] = sum(arg2);
}

overlay$target:::worker-wake
{
	@wakes[arg0, copyinstr(arg4)] = count();
	@us_slept[arg0] = quantize(arg3 / 1000);
}

profile:::tick-1s
/$1 > 0/
{
	seconds++;
	due++;
}

profile:::tick-1s
/$1 > 0 && due == $1/
{
	due = 0;
	printf("\n%u s\n", seconds);
	printa("frames %u: %@u\n", @frames);
	printa("datagrams %u: %@u\n", @datagrams);
	printa("wakes %u %s: %@u\n", @wakes);
	printa("us_slept %u%@d\n", @us_slept);
}

profile:::tick-1s
/$1 > 0 && $2 > 0 && seconds >= $1 * $2/
{
	exit(0);
}

dtrace:::END
{
	printf("\n");
	printa("frames %u: %@u\n", @frames);
	printa("datagrams %u: %@u\n", @datagrams);
	printa("wakes %u %s: %@u\n", @wakes);
	printa("us_slept %u%@d\n", @us_slept);
}
